package s3

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tidemill/tidemill/window"
)

// Codes by which S3 refuses who asks, not what is asked.
var credentialCodes = []string{
	"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired", "AuthFailure", "InvalidClientTokenId",
}

// mayBeOurs reports whether a failed create leaves open that the object is there and is ours: the key exists, or the
// multipart upload is gone because an attempt whose reply was lost completed it.
func mayBeOurs(err error) bool {
	var gone *types.NoSuchUpload
	return status(err) == http.StatusPreconditionFailed || code(err) == "PreconditionFailed" || errors.As(err, &gone) || code(err) == "NoSuchUpload"
}

func status(err error) int {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) {
		return re.HTTPStatusCode()
	}
	return 0
}

func code(err error) string {
	var ae smithy.APIError
	if errors.As(err, &ae) {
		return ae.ErrorCode()
	}
	return ""
}

// classify maps an error of the SDK to fs.ErrNotExist or to what stays until a person acts. Everything else may be
// tried again; the SDK has already done so with backoff.
func (s *Store) classify(err error, action string) error {
	if err == nil {
		return nil
	}
	var refused *window.RefusedError
	if errors.As(err, &refused) {
		return err
	}
	switch c := code(err); {
	case c == "NoSuchBucket":
		return &window.RefusedError{What: "the bucket " + s.bucket + " does not exist", Hint: "make it, or mend the store's address", Err: err}
	case slices.Contains(credentialCodes, c):
		return &window.RefusedError{What: "S3 does not accept the credentials", Hint: "check the AWS_* variables, profile or role that tidemill runs with", Err: err}
	case c == "AccessDenied" || c == "AllAccessDisabled" || status(err) == http.StatusForbidden:
		return &window.RefusedError{What: "S3 refuses access", Hint: fmt.Sprintf("allow %s on arn:aws:s3:::%s/%s* (and the KMS key, if there is one)", action, s.bucket, s.prefix), Err: err}
	case c == "PermanentRedirect" || c == "AuthorizationHeaderMalformed" || c == "IllegalLocationConstraintException":
		return &window.RefusedError{What: "the bucket " + s.bucket + " is in another region", Hint: "set ?region=... in the store's address", Err: err}
	case c == "NoSuchKey" || c == "NotFound":
		return fmt.Errorf("no such key: %w", fs.ErrNotExist)
	}
	return err
}
