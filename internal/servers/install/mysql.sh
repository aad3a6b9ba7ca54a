# MySQL is not in Debian stable. The sid packages are unpacked into the cache with their own libc beside them and run
# through that libc's loader: nothing on the host changes and no root is needed. The archive's address is the one
# the machine itself uses, so a mirror or a proxy set up for the machine serves this too.
have apt-get && have dpkg-deb || die "MySQL comes from Debian packages, and this machine has no apt-get"

archive_uri() {
  apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    sed -n 's/^Debian|//p' | head -1 | grep . && return
  sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*debian\/*\)[[:space:]]*$/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null |
    head -1 | grep . && return
  sed -n 's/^deb[[:space:]]\(\[[^]]*\][[:space:]]*\)*\([^[:space:]]*debian\/*\)[[:space:]].*/\2/p' /etc/apt/sources.list 2>/dev/null |
    head -1 | grep .
}
keyring() {
  for k in $(sed -n 's/^Signed-By:[[:space:]]*\(\/[^[:space:]]*\).*/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null) \
           /usr/share/keyrings/debian-archive-keyring.gpg; do
    case "$k" in *debian-archive*) [ -r "$k" ] && echo "$k" && return ;; esac
  done
  return 1
}

URI=$(archive_uri) || die "no Debian archive among this machine's apt sources; MySQL comes from Debian packages"
KEY=$(keyring) || die "the Debian archive keyring is missing; run: apt-get install debian-archive-keyring"
D=$CACHE/mysql.new
rm -rf "$D"
mkdir -p "$D/etc/sources.d" "$D/lists/partial" "$D/cache/archives/partial" "$D/root"
: > "$D/status"   # an empty package database makes apt bring every dependency, libc included
printf 'Types: deb\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n' "$URI" "$KEY" > "$D/etc/sources.d/sid.sources"
cat > "$D/apt.conf" <<CONF
Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "$D/etc/sources.d"; Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$D/lists"; Dir::State::status "$D/status"; Dir::Cache "$D/cache";
Acquire::Languages "none"; APT::Sandbox::User "root"; APT::Install-Recommends "false"; Debug::NoLocking "1";
CONF
(
  APT_CONFIG=$D/apt.conf; export APT_CONFIG
  apt-get -qq update >&2 || die "reading the Debian sid index at the machine's own archive did not work"
  apt-get -qq -y -d install mysql-server-core mysql-client-core libc6 >&2 || die "downloading MySQL from Debian sid did not work"
)
for deb in "$D"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$D/root"; done
rm -rf "$D/cache" "$D/lists"
system_user mysql
rm -rf "$CACHE/mysql"
mv "$D" "$CACHE/mysql"   # last step: a half-made tree is never taken for a whole one
