package dynamofake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	signTime  = "20060102T150405Z"
	tolerance = 5 * time.Minute // between a signature's time and the server's
)

// signature is the parts of a SigV4 Authorization header.
type signature struct {
	accessKey, day, region, service string
	headers                         []string
	value                           string
}

// signingTime is the time of day that signatures are judged by: the wall clock, since the SDK signs by it.
func (s *Server) signingTime() time.Time { return time.Now().Add(s.skew).UTC() }

func (s *Server) authenticate(r *http.Request, body []byte) *apiError {
	header := r.Header.Get("Authorization")
	if header == "" {
		return refuse(coral+"MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	sig, ok := parseSignature(header)
	at, err := time.Parse(signTime, r.Header.Get("X-Amz-Date"))
	if !ok || err != nil {
		return refuse(coral+"IncompleteSignatureException", "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters and an 'X-Amz-Date' header.")
	}
	switch {
	case sig.service != "dynamodb":
		return wrongSignature("Credential should be scoped to correct service: 'dynamodb'. ")
	case sig.region != s.opts.Region:
		return wrongSignature("Credential should be scoped to a valid region. ")
	case sig.day != at.Format("20060102"):
		return wrongSignature("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
	}
	if err := s.checkTime(at); err != nil {
		return err
	}
	return s.checkSecret(r, body, sig)
}

func wrongSignature(message string) *apiError {
	return refuse(coral+"InvalidSignatureException", "%s", message)
}

func (s *Server) checkTime(at time.Time) *apiError {
	s.mu.Lock()
	now := s.signingTime()
	s.mu.Unlock()
	if oldest := now.Add(-tolerance); at.Before(oldest) {
		return wrongSignature("Signature expired: " + at.Format(signTime) + " is now earlier than " + oldest.Format(signTime) + " (" + now.Format(signTime) + " - 5 min.)")
	}
	if newest := now.Add(tolerance); at.After(newest) {
		return wrongSignature("Signature not yet current: " + at.Format(signTime) + " is still later than " + newest.Format(signTime) + " (" + now.Format(signTime) + " + 5 min.)")
	}
	return nil
}

func (s *Server) checkSecret(r *http.Request, body []byte, sig signature) *apiError {
	if s.opts.Secrets == nil {
		return nil
	}
	secret, ok := s.opts.Secrets[sig.accessKey]
	if !ok {
		return refuse(coral+"UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if !hmac.Equal([]byte(sig.value), []byte(sign(r, body, sig, secret))) {
		return wrongSignature("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

// parseSignature takes apart "AWS4-HMAC-SHA256 Credential=key/day/region/service/aws4_request, SignedHeaders=a;b, Signature=hex".
func parseSignature(header string) (signature, bool) {
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		return signature{}, false
	}
	var sig signature
	for part := range strings.SplitSeq(rest, ",") {
		name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			scope := strings.Split(text, "/")
			if len(scope) != 5 || scope[4] != "aws4_request" {
				return signature{}, false
			}
			sig.accessKey, sig.day, sig.region, sig.service = scope[0], scope[1], scope[2], scope[3]
		case "SignedHeaders":
			sig.headers = strings.Split(text, ";")
		case "Signature":
			sig.value = text
		}
	}
	return sig, sig.accessKey != "" && slices.Contains(sig.headers, "host") && len(sig.value) == 64
}

// sign computes what the signature must be (AWS Signature Version 4; path and query are always plain here).
func sign(r *http.Request, body []byte, sig signature, secret string) string {
	var canonical strings.Builder
	canonical.WriteString(r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n")
	for _, name := range sig.headers {
		text := strings.TrimSpace(strings.Join(r.Header.Values(name), ","))
		switch name {
		case "host":
			text = r.Host
		case "content-length":
			text = r.Header.Get("Content-Length")
			if text == "" {
				text = itoa(int(r.ContentLength)) // net/http takes the header away
			}
		}
		canonical.WriteString(name + ":" + text + "\n")
	}
	bodyHash := sha256.Sum256(body)
	canonical.WriteString("\n" + strings.Join(sig.headers, ";") + "\n" + hex.EncodeToString(bodyHash[:]))
	requestHash := sha256.Sum256([]byte(canonical.String()))
	scope := sig.day + "/" + sig.region + "/" + sig.service + "/aws4_request"
	text := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + scope + "\n" + hex.EncodeToString(requestHash[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{sig.day, sig.region, sig.service, "aws4_request", text} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return hex.EncodeToString(key)
}
