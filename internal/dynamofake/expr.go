package dynamofake

type condition struct {
	text      string
	names     map[string]string
	values    map[string]value
	onFailure string
}

func (c condition) holds(item) (bool, *apiError) {
	if c.text == "" {
		return true, nil
	}
	return false, notImplemented("condition expressions")
}

type update struct{}

func (u *update) apply(old, key item, keys []keyAttribute) (item, *apiError) { return nil, nil }
