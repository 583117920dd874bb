// Command render prints the objects of a Helm chart, as `helm template` does, for charts without subcharts, hooks and
// look-ups. Templates use text/template and sprig, as in Helm. The command reads the chart's parts as YAML, merges
// values into the chart's own, and prints each object after a line `---`. NOTES.txt comes last, after a line `---
// NOTES.txt`.
//
//	go run render.go CHART RELEASE VALUES.yaml
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type object = map[string]interface{}

func read(path string) object {
	text, err := os.ReadFile(path)
	check(err)
	values := object{}
	check(yaml.Unmarshal(text, &values))
	return values
}

// merge adds the members of b to a. Objects are merged, null removes a member, other values replace.
func merge(a, b object) object {
	for name, value := range b {
		inner, isObject := value.(object)
		there, wasObject := a[name].(object)
		switch {
		case value == nil:
			delete(a, name)
		case isObject && wasObject:
			a[name] = merge(there, inner)
		default:
			a[name] = value
		}
	}
	return a
}

// chart capitalises the names of members, as Helm does for templates.
func chart(metadata object) object {
	capital := object{}
	for name, value := range metadata {
		capital[strings.ToUpper(name[:1])+name[1:]] = value
	}
	return capital
}

func functions(all *template.Template) template.FuncMap {
	known := sprig.TxtFuncMap()
	// Helm removes these functions: a chart must not see its installer's environment.
	delete(known, "env")
	delete(known, "expandenv")
	known["include"] = func(name string, data interface{}) (string, error) {
		var buffer bytes.Buffer
		err := all.ExecuteTemplate(&buffer, name, data)
		return buffer.String(), err
	}
	known["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	known["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(message)
		}
		return value, nil
	}
	return known
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	directory, release := os.Args[1], os.Args[2]
	values := merge(read(filepath.Join(directory, "values.yaml")), read(os.Args[3]))
	data := object{
		"Values":  values,
		"Chart":   chart(read(filepath.Join(directory, "Chart.yaml"))),
		"Release": object{"Name": release, "Namespace": "default", "Service": "Helm", "IsInstall": true, "IsUpgrade": false},
	}
	all := template.New("chart").Option("missingkey=error")
	all.Funcs(functions(all))
	paths, err := filepath.Glob(filepath.Join(directory, "templates", "*"))
	check(err)
	sort.Strings(paths)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		check(err)
		_, err = all.New(filepath.Base(path)).Parse(string(text))
		check(err)
	}
	notes := ""
	for _, path := range paths {
		name := filepath.Base(path)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var buffer bytes.Buffer
		check(all.ExecuteTemplate(&buffer, name, data))
		if name == "NOTES.txt" {
			notes = "--- NOTES.txt\n" + buffer.String()
		} else if strings.TrimSpace(buffer.String()) != "" {
			fmt.Printf("---\n%s\n", buffer.String())
		}
	}
	fmt.Print(notes)
}
