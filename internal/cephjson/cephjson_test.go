package cephjson

import "testing"

func TestMarshal(t *testing.T) {
	v := struct {
		B string         `json:"b"`
		A []int          `json:"a"`
		M map[string]int `json:"m"`
	}{"<&>", []int{1}, map[string]int{"x": 1}}
	if got, want := string(Marshal(v, false)), `{"b":"<&>","a":[1],"m":{"x":1}}`; got != want {
		t.Errorf("compact: %s, want %s", got, want)
	}
	want := "{\n    \"b\": \"<&>\",\n    \"a\": [\n        1\n    ],\n" +
		"    \"m\": {\n        \"x\": 1\n    }\n}\n"
	if got := string(Marshal(v, true)); got != want {
		t.Errorf("pretty:\n%s\nwant\n%s", got, want)
	}
}
