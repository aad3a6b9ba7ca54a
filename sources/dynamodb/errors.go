package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tidemill/tidemill/ingest"
)

// Cause classifies an error at the place where it is known.
type Cause uint8

// The causes of an Error.
const (
	Unreachable Cause = iota + 1 // network or service down: start again from the checkpoint
	Throttled                    // the service wants fewer calls
	Refused                      // the table, its stream, the permissions or the configuration must be changed first
	Credentials                  // they are missing, wrong or expired
	Gone                         // the table or the stream is not there
	Trimmed                      // the stream no longer has what follows
	Expired                      // an iterator has: a new one goes on where it stood
	Lost                         // something is missing for good
	Failed                       // the service could not do it and says nothing that we know: it may pass
)

var causeNames = [...]string{"", "unreachable", "throttled", "refused", "credentials", "gone", "trimmed", "expired", "lost", "failed"}

func (c Cause) String() string { return causeNames[c] }

// Error is what Prepare and Run return: what happened, where, and what mends it. Its text holds no value of an item.
type Error struct {
	Cause  Cause
	Table  string
	What   string
	Remedy string // a command, empty when waiting helps
	Err    error  // what lies below, already free of values; may be nil

	anew bool
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "DynamoDB table %s: %s", e.Table, e.What)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Remedy != "" {
		b.WriteString("; ")
		b.WriteString(e.Remedy)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Retryable says that starting again from the checkpoint may succeed without anybody's help.
func (e *Error) Retryable() bool {
	switch e.Cause {
	case Unreachable, Throttled, Failed, Expired:
		return true
	case Credentials: // an instance's come by themselves
		return e.Remedy == ""
	}
	return false
}

// LoadAnew says that the remedy may be carried out without a person: the table is loaded anew, as a resync of the source does.
func (e *Error) LoadAnew() bool { return e.anew }

// Hint is the remedy alone.
func (e *Error) Hint() string { return e.Remedy }

// causeOf returns the cause of an error of ours, or 0.
func causeOf(err error) Cause {
	if own, ok := errors.AsType[*Error](err); ok {
		return own.Cause
	}
	return 0
}

// answer is the service's refusal without its text: that may quote values.
type answer struct {
	code   string
	status int
}

func (a *answer) Error() string {
	if a.code == "" {
		return fmt.Sprintf("the service answered with HTTP status %d", a.status)
	}
	return "the service answered " + a.code
}

// failure classifies an error of a call. action is the IAM action that the call needs, what a gerund.
func (c *Config) failure(action, what string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || causeOf(err) != 0 {
		return err
	}
	e := &Error{Cause: Failed, Table: c.Table, What: what}
	code, message, status := "", "", 0
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code, message = api.ErrorCode(), api.ErrorMessage()
	}
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		status = resp.HTTPStatusCode()
	}
	e.Err = &answer{code, status}
	if (code == "AccessDenied" || code == "AccessDeniedException" || code == "ValidationError") && ofSTS(err) {
		e.Cause, e.What = Refused, "assuming the role "+c.RoleARN
		e.Remedy = "allow sts:AssumeRole on it to the credentials of this process, and let the role trust them (its trust policy, with external_id when it asks for one)"
		return e
	}
	switch code {
	case "":
		c.unanswered(e, err, status)
	case "ExpiredIteratorException":
		e.Cause = Expired
	case "TrimmedDataAccessException":
		e.Cause = Trimmed
	case "ResourceNotFoundException", "TableNotFoundException":
		e.Cause = Gone
	case "ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException", "RequestLimitExceeded", "Throttling":
		e.Cause = Throttled
	case "AccessDeniedException", "AccessDenied":
		e.Cause, e.Remedy = Refused, "allow the action "+action+" in the policy of the role or user (docs/sources/dynamodb.md has the whole policy)"
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired":
		e.Cause, e.What = Credentials, "the credentials have expired"
	case "UnrecognizedClientException", "InvalidClientTokenId", "MissingAuthenticationTokenException", "IncompleteSignatureException":
		e.Cause, e.What, e.Remedy = Credentials, "the credentials are not known to AWS", "run: aws sts get-caller-identity, with the environment of this process"
	case "RequestTimeTooSkewed", "InvalidSignatureException", "SignatureDoesNotMatch":
		e.Cause, e.What = Credentials, "AWS refuses the signature"
		e.Remedy = "set this machine's clock (timedatectl set-ntp true); when it is right, the secret key is not, or region is not the endpoint's"
	case "ValidationException", "NotImplemented", "ExportConflictException", "NoSuchBucket":
		e.Cause = Refused
		if control(action) { // their texts are about tables and buckets, never about an item
			e.Err = fmt.Errorf("%w: %s", e.Err, message)
		}
	default:
		if status >= http.StatusInternalServerError {
			e.Cause = Unreachable
		}
	}
	return e
}

// control reports whether a call is about the table and not about its items.
func control(action string) bool {
	return strings.HasPrefix(action, "dynamodb:Describe") || strings.HasPrefix(action, "dynamodb:Export")
}

// ofSTS reports whether it was STS that refused, on the way to another call.
func ofSTS(err error) bool {
	var op *smithy.OperationError
	for errors.As(err, &op) { // the call that was asked for is around the one that failed
		if op.ServiceID == "STS" {
			return true
		}
		err = op.Err
	}
	return false
}

const noDynamoDB = "check endpoint in the source's file: what answers there is not DynamoDB"

// unanswered classifies an error without a code: a broken connection, no credentials, an answer of something else.
func (c *Config) unanswered(e *Error, err error, status int) {
	var network net.Error
	var signing *smithy.CanceledError
	switch {
	case status >= http.StatusInternalServerError:
		e.Cause = Unreachable
	case status > 0:
		e.Cause, e.Remedy = Refused, noDynamoDB
	case strings.Contains(err.Error(), "get credentials") || strings.Contains(err.Error(), "refresh cached credentials"):
		e.Cause, e.What, e.Err = Credentials, "there are no AWS credentials", nil
		e.Remedy = "give this process some, as for the AWS CLI: a role of the instance, container or service account, or AWS_PROFILE"
	case strings.Contains(err.Error(), "Invalid Configuration: Missing Region"), strings.Contains(err.Error(), "missing region"):
		e.Cause, e.Err, e.Remedy = Refused, errors.New("no region is set"), "set region in the source's file"
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), errors.As(err, &signing):
		e.Cause, e.Err = Unreachable, errors.New("no answer from the endpoint")
	default:
		e.Cause, e.Err = Unreachable, errors.New("no connection to the endpoint")
	}
	if e.Cause == Unreachable && status == 0 {
		where := "region " + c.Region
		if u, err := url.Parse(c.Endpoint); err == nil && u.Host != "" {
			where = u.Host
		}
		e.Err = fmt.Errorf("%w of %s; if it stays so, check region and endpoint in the source's file, and the way there (DNS, proxy, VPC endpoint)", e.Err, where)
	}
}

// streamOn is the command that switches the stream on.
func (c *Config) streamOn() string {
	return "run: aws dynamodb update-table" + c.cli() + " --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
}

// streamOff is the command that switches it off.
func (c *Config) streamOff() string {
	return "aws dynamodb update-table" + c.cli() + " --stream-specification StreamEnabled=false"
}

func (c *Config) cli() string {
	out := ""
	if c.Region != "" {
		out = " --region " + c.Region
	}
	return out + " --table-name " + c.Table
}

// lost is the end of a stream whose records are gone.
func (s *Source) lost(what string) error {
	return &Error{Cause: Lost, Table: s.config.Table, What: "DATA LOSS: " + what, Remedy: "to load the table anew, run: " + ingest.ResyncCommand(s.name)}
}
