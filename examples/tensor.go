// A tensor as a slice of float32:
//
//	go run tensor.go
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
)

func main() {
	service := os.Getenv("WEIGHT_INIT_URL")
	if service == "" {
		service = "http://localhost:8080"
	}
	query := url.Values{
		"method":       {"kaiming_normal"},
		"shape":        {"64,3,7,7"},
		"seed":         {"42"},
		"mode":         {"fan_out"},
		"nonlinearity": {"relu"},
		"format":       {"raw"},
	}
	request, err := http.NewRequest(http.MethodGet, service+"/init?"+query.Encode(), nil)
	if err != nil {
		log.Fatal(err)
	}
	if token := os.Getenv("WEIGHT_INIT_TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		log.Fatal(err)
	}
	if reply.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		_ = json.Unmarshal(body, &problem)
		log.Fatal(reply.Status, ": ", problem.Detail)
	}
	weight := make([]float32, len(body)/4)
	if err := binary.Read(bytes.NewReader(body), binary.LittleEndian, weight); err != nil {
		log.Fatal(err)
	}

	fmt.Println(reply.Header.Get("X-Tensor-Shape"), reply.Header.Get("X-Tensor-Dtype"))
	fmt.Printf("%.6f %.6f %.6f %.6f\n", weight[0], weight[1], weight[2], weight[3])
	fmt.Printf("%x\n", sha256.Sum256(body))
}
