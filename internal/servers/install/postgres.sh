# The package would make a cluster of its own and start it on 5432; ours are private and short-lived. It asks this file
# first, which a package that comes before it brings; the file is left as it was found.
CONF=/etc/postgresql-common/createcluster.conf
LINE='create_main_cluster = false'
apt_install postgresql-common
if ! grep -q '^create_main_cluster' "$CONF"; then
  trap 'rooted sed -i "/^$LINE\$/d" "$CONF"' EXIT
  printf '%s\n' "$LINE" | rooted tee -a "$CONF" >/dev/null
fi
apt_install postgresql
