package redshiftdouble

func (s *session) planMerge(ts []token) (*plan, error)  { return nil, unsupported("MERGE") }
func (s *session) planUnload(ts []token) (*plan, error) { return nil, unsupported("UNLOAD") }
