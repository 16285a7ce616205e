package dcpt

import (
	"reflect"
	"strings"
)

// yamlKeys lists the keys that a struct is decoded from.
func yamlKeys(v any) []string {
	t := reflect.TypeOf(v)
	var keys []string
	for i := range t.NumField() {
		if key := yamlKey(t.Field(i)); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// fieldByKey returns the field of a struct that a key is decoded into; the key must exist.
func fieldByKey(t reflect.Type, key string) reflect.StructField {
	for i := range t.NumField() {
		if yamlKey(t.Field(i)) == key {
			return t.Field(i)
		}
	}
	panic("no field for key " + key)
}

func yamlKey(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	if name == "-" {
		return ""
	}
	return name
}
