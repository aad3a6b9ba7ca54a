package config_test

import (
	"slices"
	"testing"

	"github.com/tidemill/tidemill/internal/config"
)

// A colon with nothing around it is part of the plain text, in every way to write a list.
func TestHostAndPortInAList(t *testing.T) {
	want := []string{"kafka-1:9092", "10.0.0.2:9093"}
	for _, log := range []string{
		"log: {brokers: [kafka-1:9092, 10.0.0.2:9093]}",
		"log: { brokers: [ kafka-1:9092 , 10.0.0.2:9093 ], prefix: clinic }",
		"log: {brokers: [\n  kafka-1:9092,\n  10.0.0.2:9093,\n]}",
		"log: {brokers: ['kafka-1:9092', \"10.0.0.2:9093\"]}",
		"log:\n  brokers: [kafka-1:9092, 10.0.0.2:9093]",
		"log:\n  brokers:\n    - kafka-1:9092\n    - 10.0.0.2:9093",
	} {
		dir := t.TempDir()
		write(t, dir, "tidemill.yaml", "project: clinic\n"+log+"\n")
		p, err := config.Load(dir, noEnv)
		if err != nil || !slices.Equal(p.Log.Brokers, want) {
			t.Errorf("%s\ngives %q, %v", log, p.Log.Brokers, err)
		}
	}
}

// A list of any other text keeps its colons too, and they need not stand before a number.
func TestColonsInAnyList(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "tidemill.yaml", "project: clinic\n")
	write(t, dir, "sources/a.yaml", "kind: source\nname: a\ntype: x\nin: {list: [a:b, c:d:e, 2001:db8:0:1, é:ü]}\n")
	p, err := config.Load(dir, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	var into struct {
		In struct {
			List []string `yaml:"list"`
		} `yaml:"in"`
	}
	if err := p.Sources[0].Node.Decode(&into); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a:b", "c:d:e", "2001:db8:0:1", "é:ü"}; !slices.Equal(into.In.List, want) {
		t.Errorf("got %q, want %q", into.In.List, want)
	}
}

// What is a mapping stays one: with a space, with a quoted key, without a value.
func TestMappingsInAListAreRefused(t *testing.T) {
	for _, item := range []string{"a: 1", `"a":1`, "a:", "{a:1}", "a: [1]", `a:"b"`} {
		dir := t.TempDir()
		write(t, dir, "tidemill.yaml", "project: clinic\nlog: {brokers: ["+item+"]}\n")
		if p, err := config.Load(dir, noEnv); err == nil {
			t.Errorf("%s gives %q", item, p.Log.Brokers)
		}
	}
}
