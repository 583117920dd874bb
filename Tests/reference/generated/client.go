// Asks a service, whose URL is the first argument, with the client that openapi-generator makes for Go. Then reads the requests in the
// folder that is the second argument, and writes each back beside it; asks for the plan of those whose name begins with "plan-".
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"weightinit"
)

func main() {
	configuration := weightinit.NewConfiguration()
	configuration.Servers = weightinit.ServerConfigurations{{URL: os.Args[1]}}
	client := weightinit.NewAPIClient(configuration)
	ctx := context.WithValue(context.Background(), weightinit.ContextAccessToken, os.Getenv("WEIGHT_INIT_TOKEN"))

	raw, _, err := client.TensorsAPI.GetTensor(ctx).Method("uniform").Shape("1000").Seed(math.MaxInt64).
		Dtype(weightinit.FLOAT64).B(0.1).Format(weightinit.RAW).Execute()
	must(err)
	fmt.Println("raw", digest(raw))

	npy, _, err := client.TensorsAPI.GetTensor(ctx).Method("xavier_uniform").Shape("64,32").Seed(42).
		Gain("leaky_relu:0.2").Format(weightinit.NPY).Execute()
	must(err)
	fmt.Println("npy", digest(npy))

	gain, _, err := client.TheoryAPI.GetGain(ctx).Nonlinearity("leaky_relu").Param(0.2).Execute()
	must(err)
	value := gain.GetGain()
	fmt.Println("gain", text(*value.Float64))

	repository, _, err := client.ModelsAPI.GetRepository(ctx, "random", "lenet5").Execute()
	must(err)
	if repository.GetId() != "random/lenet5" {
		must(fmt.Errorf("the repository is %s", repository.GetId()))
	}

	request := weightinit.NewInitRequest()
	request.SetMethod("uniform")
	request.SetShape([]int64{2})
	seed, bound := int64(math.MaxInt64), 0.1
	request.SetSeed(weightinit.Seed{Int64: &seed})
	request.SetB(weightinit.Real{Float64: &bound})
	request.SetDtype(weightinit.FLOAT64)
	tensor, _, err := client.TensorsAPI.PostTensor(ctx).InitRequest(*request).Execute()
	must(err)
	fmt.Println("seed", tensor.GetSeed())
	fmt.Println("effective_seed", tensor.GetEffectiveSeed())
	for _, element := range tensor.GetData().([]interface{}) {
		fmt.Println("element", text(element.(float64)))
	}

	entry := weightinit.NewEntry()
	entry.SetType("Linear")
	entry.SetName("fc")
	entry.AdditionalProperties = map[string]interface{}{"in_features": 3, "out_features": 2}
	layers := weightinit.NewInitRequest()
	layers.SetLayers([]weightinit.Entry{*entry})
	layers.SetDtype(weightinit.FLOAT64)
	model, _, err := client.TensorsAPI.PostTensor(ctx).InitRequest(*layers).Execute()
	must(err)
	for _, element := range model.GetTensors()[1].GetData().([]interface{}) {
		fmt.Println("bias", text(element.(float64)))
	}

	paths, err := filepath.Glob(filepath.Join(os.Args[2], "*.json"))
	must(err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		must(err)
		var request weightinit.InitRequest
		must(json.Unmarshal(text, &request))
		back, err := json.Marshal(request)
		must(err)
		must(os.WriteFile(path+".back", back, 0o600))
		if strings.HasPrefix(filepath.Base(path), "plan-") {
			plan, reply, err := client.TensorsAPI.PostPlan(ctx).InitRequest(request).Execute()
			must(err)
			fmt.Println("plan", filepath.Base(path), reply.Header.Get("ETag"), plan.GetSha256())
		}
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func text(number float64) string {
	return strconv.FormatFloat(number, 'g', -1, 64)
}

func digest(file *os.File) string {
	defer os.Remove(file.Name())
	bytes, err := io.ReadAll(file)
	must(err)
	return fmt.Sprintf("%x", sha256.Sum256(bytes))
}
