package dynamofake

import "time"

type timeToLiveSpecification struct {
	AttributeName string `json:"AttributeName"`
	Enabled       bool   `json:"Enabled"`
}

type updateTimeToLiveInput struct {
	TableName               string                  `json:"TableName"`
	TimeToLiveSpecification timeToLiveSpecification `json:"TimeToLiveSpecification"`
}

func (s *Server) updateTimeToLive(c *call, in *updateTimeToLiveInput) (answer, *apiError) {
	t, err := s.readyTable(c, in.TableName)
	if err != nil {
		return nil, err
	}
	spec := in.TimeToLiveSpecification
	switch {
	case spec.AttributeName == "":
		return nil, validation("1 validation error detected: Value '' at 'timeToLiveSpecification.attributeName' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case spec.Enabled && t.ttl.attribute != "":
		return nil, validation("TimeToLive is already enabled")
	case !spec.Enabled && t.ttl.attribute == "":
		return nil, validation("TimeToLive is already disabled")
	case !spec.Enabled && t.ttl.attribute != spec.AttributeName:
		return nil, validation("TimeToLive is active on a different AttributeName: current AttributeName is %s", t.ttl.attribute)
	}
	t.ttl = timeToLive{}
	if spec.Enabled {
		t.ttl.attribute = spec.AttributeName
		for _, rows := range t.rows {
			for _, r := range rows {
				t.ttl.note(r, c.now, s.opts.TTLDelay)
			}
		}
	}
	return reply(map[string]any{"TimeToLiveSpecification": spec})
}

func (s *Server) describeTimeToLive(c *call, in *tableInput) (answer, *apiError) {
	t, err := s.readyTable(c, in.TableName)
	if err != nil {
		return nil, err
	}
	d := map[string]any{"TimeToLiveStatus": "DISABLED"}
	if t.ttl.attribute != "" {
		d = map[string]any{"TimeToLiveStatus": "ENABLED", "AttributeName": t.ttl.attribute}
	}
	return reply(map[string]any{"TimeToLiveDescription": d})
}

type recoverySpecification struct {
	PointInTimeRecoveryEnabled bool `json:"PointInTimeRecoveryEnabled"`
	RecoveryPeriodInDays       *int `json:"RecoveryPeriodInDays"`
}

type updateContinuousBackupsInput struct {
	TableName                        string                `json:"TableName"`
	PointInTimeRecoverySpecification recoverySpecification `json:"PointInTimeRecoverySpecification"`
}

const recoveryPeriod = 35 * 24 * time.Hour

func (s *Server) updateContinuousBackups(c *call, in *updateContinuousBackupsInput) (answer, *apiError) {
	t, err := s.readyTable(c, in.TableName)
	if err != nil {
		return nil, err
	}
	if days := in.PointInTimeRecoverySpecification.RecoveryPeriodInDays; days != nil && *days != 35 {
		return nil, notImplemented("a RecoveryPeriodInDays other than 35")
	}
	switch on := in.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled; {
	case on && t.recovery.IsZero():
		t.recovery = c.now
	case !on:
		t.recovery, t.journal = time.Time{}, nil
	}
	return reply(map[string]any{"ContinuousBackupsDescription": t.backups(c.now)})
}

func (s *Server) describeContinuousBackups(c *call, in *tableInput) (answer, *apiError) {
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, refuse(modelled+"TableNotFoundException", "Table not found: %s", in.TableName)
	}
	return reply(map[string]any{"ContinuousBackupsDescription": t.backups(c.now)})
}

func (t *table) backups(now time.Time) map[string]any {
	d := map[string]any{"PointInTimeRecoveryStatus": "DISABLED"}
	if !t.recovery.IsZero() {
		latest := now.Add(-5 * time.Minute) // so far it lags behind on AWS
		if latest.Before(t.recovery) {
			latest = t.recovery
		}
		d = map[string]any{
			"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": 35,
			"EarliestRestorableDateTime": seconds(t.earliest(now)), "LatestRestorableDateTime": seconds(latest),
		}
	}
	return map[string]any{"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": d}
}

// earliest is the beginning of the point-in-time recovery window.
func (t *table) earliest(now time.Time) time.Time {
	if oldest := now.Add(-recoveryPeriod); oldest.After(t.recovery) {
		return oldest
	}
	return t.recovery
}
