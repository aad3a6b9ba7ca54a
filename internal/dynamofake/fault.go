package dynamofake

import (
	"net/http"
	"time"
)

// Failure is a way for a call to fail.
type Failure string

// What calls may fail with. The first group is made of the service's own errors, the second of the front end's and the
// third of the network's.
const (
	ProvisionedThroughputExceeded Failure = "ProvisionedThroughputExceededException"
	LimitExceeded                 Failure = "LimitExceededException"
	RequestLimitExceeded          Failure = "RequestLimitExceeded"
	InternalServerError           Failure = "InternalServerError" // 500
	ExpiredIterator               Failure = "ExpiredIteratorException"
	TrimmedDataAccess             Failure = "TrimmedDataAccessException"
	ResourceNotFound              Failure = "ResourceNotFoundException"

	Throttling           Failure = "ThrottlingException"
	ServiceUnavailable   Failure = "ServiceUnavailable" // 503
	AccessDenied         Failure = "AccessDeniedException"
	ExpiredToken         Failure = "ExpiredTokenException"
	UnrecognizedClient   Failure = "UnrecognizedClientException"
	InvalidSignature     Failure = "InvalidSignatureException"
	RequestTimeTooSkewed Failure = "RequestTimeTooSkewed"

	Dropped Failure = "connection cut without an answer"
	Hanging Failure = "no answer until the client gives up"
	Partial Failure = "BatchWriteItem does half and returns the rest as unprocessed"
)

// Statuses beyond HTTP's, for faults of the network.
const (
	statusDrop = -1
	statusHang = -2
)

// Fault says which calls fail and how.
type Fault struct {
	Failure   Failure
	Operation string        // "" is every operation
	Table     string        // "" is every table, and its streams
	Shard     string        // "" is every shard
	Times     int           // how many calls fail; 0 is all of them until ClearFaults or For
	Skip      int           // let so many matching calls pass first
	Every     int           // fail only each Every-th matching call; 0 and 1 are each
	For       time.Duration // on the service's clock, from now; 0 is without end
}

// armed is a fault in force.
type armed struct {
	Fault
	until time.Time
	seen  int
	hits  int
}

// Fail puts a fault in force. Several add up; the first that matches a call decides.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &armed{Fault: f}
	if f.For > 0 {
		a.until = s.now().Add(f.For)
	}
	s.faults = append(s.faults, a)
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// fault is the error that a call fails with by script. The lock is held.
func (s *Server) fault(c *call) *apiError {
	for _, a := range s.faults {
		if a.Failure != Partial && a.strikes(c) {
			return a.Failure.error()
		}
	}
	return nil
}

// partial says whether a batch is to be done by half.
func (s *Server) partial(c *call) bool {
	for _, a := range s.faults {
		if a.Failure == Partial && a.strikes(c) {
			return true
		}
	}
	return false
}

func (a *armed) strikes(c *call) bool {
	i := c.info
	if a.Operation != "" && a.Operation != i.Operation || a.Table != "" && a.Table != i.Table || a.Shard != "" && a.Shard != i.Shard {
		return false
	}
	if !a.until.IsZero() && !c.now.Before(a.until) || a.Times > 0 && a.hits >= a.Times {
		return false
	}
	a.seen++
	if a.seen <= a.Skip || a.Every > 1 && (a.seen-a.Skip)%a.Every != 0 {
		return false
	}
	a.hits++
	return true
}

// error is the failure in the service's words.
func (f Failure) error() *apiError {
	switch f {
	case ProvisionedThroughputExceeded:
		return refuse(modelled+string(f), "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.")
	case LimitExceeded, ExpiredIterator, TrimmedDataAccess, ResourceNotFound:
		return refuse(modelled+string(f), "%s", f.message())
	case RequestLimitExceeded:
		return refuse(modelled+string(f), "Throughput exceeds the current throughput limit for your account.")
	case InternalServerError:
		return &apiError{status: http.StatusInternalServerError, kind: modelled + string(f), message: "Internal server error"}
	case ServiceUnavailable:
		return &apiError{status: http.StatusServiceUnavailable, kind: coral + string(f), message: "Service is unavailable"}
	case Dropped:
		return &apiError{status: statusDrop, kind: ours + string(f)}
	case Hanging:
		return &apiError{status: statusHang, kind: ours + string(f)}
	}
	return refuse(coral+string(f), "%s", f.message())
}

func (f Failure) message() string {
	switch f {
	case LimitExceeded:
		return "Subscriber limit exceeded: too many operations on this shard or account"
	case ExpiredIterator:
		return "Iterator expired. The iterator was created more than 15 minutes ago"
	case TrimmedDataAccess:
		return "The operation attempted to read past the oldest stream record in a shard"
	case ResourceNotFound:
		return "Requested resource not found"
	case Throttling:
		return "Rate exceeded"
	case AccessDenied:
		return "User is not authorized to perform this operation"
	case ExpiredToken:
		return "The security token included in the request is expired"
	case UnrecognizedClient:
		return "The security token included in the request is invalid."
	case RequestTimeTooSkewed:
		return "The difference between the request time and the current time is too large."
	}
	return "The request signature we calculated does not match the signature you provided."
}
