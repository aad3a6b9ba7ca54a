# versitygw: an S3 gateway over a folder, one Go binary. It checks signatures and honours If-None-Match.
have go || die "needs Go to build versitygw; see https://go.dev/dl"
mkdir -p "$CACHE/bin"
cd "$CACHE"   # outside any module, so our build flags and our go.mod have no say
GOBIN=$CACHE/bin GOFLAGS= go install github.com/versity/versitygw/cmd/versitygw@v1.8.0 >&2 ||
  die "building versitygw did not work"
