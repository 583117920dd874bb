// A model's weights as slices of float32, by name:
//
//	go run model.go [REQUEST.json]
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sort"
	"strings"
)

// A tensor of a safetensors file, as the file's header describes it.
type tensor struct {
	Dtype   string
	Shape   []int
	Offsets [2]int `json:"data_offsets"`
}

func main() {
	service := os.Getenv("WEIGHT_INIT_URL")
	if service == "" {
		service = "http://localhost:8080"
	}
	path := "models/mlp.json"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	model, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, service+"/init", model)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
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
	tensors, data, err := read(body)
	if err != nil {
		log.Fatal(err)
	}

	// Names in the order of the file. The file has tied tensors once; the header's __metadata__ says which names share one.
	names := make([]string, 0, len(tensors))
	for name := range tensors {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { return tensors[names[i]].Offsets[0] < tensors[names[j]].Offsets[0] })
	weights := make(map[string][]float32)
	var taken, others []string
	for _, name := range names {
		if dtype := tensors[name].Dtype; dtype != "F32" {
			others = append(others, name+" ("+dtype+")")
			continue
		}
		taken = append(taken, name)
		offsets := tensors[name].Offsets
		weights[name] = make([]float32, (offsets[1]-offsets[0])/4)
		if err := binary.Read(bytes.NewReader(data[offsets[0]:offsets[1]]), binary.LittleEndian, weights[name]); err != nil {
			log.Fatal(err)
		}
	}

	if len(others) > 0 {
		log.Printf("left out, because they are not float32: %d tensors such as %s", len(others), others[0])
	}
	if len(taken) == 0 {
		log.Fatal("the model has no tensor of float32")
	}
	fmt.Println(strings.Join(taken, " "))
	first := weights[taken[0]]
	for index := 0; index < len(first) && index < 4; index++ {
		if index > 0 {
			fmt.Print(" ")
		}
		fmt.Printf("%.6f", first[index])
	}
	fmt.Println()
	fmt.Printf("%x\n", sha256.Sum256(data))
}

// Splits a safetensors file: the length of a header in 8 bytes, the header in JSON, the tensors' bytes.
func read(file []byte) (map[string]tensor, []byte, error) {
	if len(file) < 8 || binary.LittleEndian.Uint64(file) > uint64(len(file)-8) {
		return nil, nil, errors.New("the reply is no safetensors file: ask for format=safetensors")
	}
	end := 8 + binary.LittleEndian.Uint64(file)
	var header map[string]json.RawMessage
	if err := json.Unmarshal(file[8:end], &header); err != nil {
		return nil, nil, err
	}
	delete(header, "__metadata__")
	tensors := make(map[string]tensor)
	for name, description := range header {
		var described tensor
		if err := json.Unmarshal(description, &described); err != nil {
			return nil, nil, err
		}
		tensors[name] = described
	}
	return tensors, file[end:], nil
}
