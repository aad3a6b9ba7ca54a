package console

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// guard lets a request through when it names us as its host, comes from no foreign page, and carries the token.
func (s *Server) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.ours(r.Host): // invariant 2
			fail(w, http.StatusMisdirectedRequest, "the request is for another host")
		case foreign(r):
			fail(w, http.StatusForbidden, "the request comes from another site")
		case !s.authorized(r): // invariant 1
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, http.StatusUnauthorized, "send the token of the daemon's data folder: Authorization: Bearer <token>")
		default:
			next(w, r)
		}
	}
}

// ours reports whether a Host header names this server: a name that an attacker's DNS may point at us is not one.
func (s *Server) ours(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if name == "localhost" || s.Host != "" && strings.EqualFold(name, s.Host) {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// foreign reports whether a browser says that the request was made by a page of another origin.
func foreign(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return r.Header.Get("Sec-Fetch-Site") == "cross-site"
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host != r.Host
}

func (s *Server) authorized(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && s.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(s.Token)) == 1
}
