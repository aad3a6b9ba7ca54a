package dynamofake

import "reflect"

// Requests are the types that requests are decoded to, by X-Amz-Target.
func Requests() map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for target, o := range operations() {
		out[target] = o.input
	}
	return out
}

// Elsewhere are the operations of AWS that are refused by name.
func Elsewhere() []string { return elsewhere }

// CanonicalNumber is what becomes of a number.
func CanonicalNumber(text string) (string, error) {
	d, err := parseNumber(text)
	if err != nil {
		return "", err
	}
	return d.String(), nil
}

// NumberOrder is the key that numbers are sorted by.
func NumberOrder(text string) string {
	d, _ := parseNumber(text)
	return d.orderKey()
}

// IsItem says that a request's member is an item or a value, which have their own decoder.
func IsItem(t reflect.Type) bool { return t == itemType || t == valueType }
