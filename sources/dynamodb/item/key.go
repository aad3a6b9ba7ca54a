package item

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// KeyOf is a key as the SDK wants it, to go on after.
func KeyOf(text []byte) (map[string]types.AttributeValue, error) {
	attributes, err := Parse(text, nil)
	if err != nil {
		return nil, err
	}
	out := map[string]types.AttributeValue{}
	for _, a := range attributes {
		ok := true
		var b []byte
		switch a.Tag {
		case S:
			b, ok = appendText(nil, inside(a.raw))
			out[string(a.Name)] = &types.AttributeValueMemberS{Value: string(b)}
		case N:
			out[string(a.Name)] = &types.AttributeValueMemberN{Value: string(inside(a.raw))}
		case B:
			b, ok = appendBinary(nil, inside(a.raw))
			out[string(a.Name)] = &types.AttributeValueMemberB{Value: b}
		default:
			ok = false
		}
		if !ok {
			return nil, errMalformed
		}
	}
	return out, nil
}
