package cephjson

import "testing"

func TestObject(t *testing.T) {
	o := Object{{"z", 1}, {"a<", []string{"&"}}, {"e", Object{}}}
	if got, want := string(Marshal(o, false)), `{"z":1,"a<":["&"],"e":{}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
