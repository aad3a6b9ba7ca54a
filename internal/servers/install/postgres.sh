# Keeps the package from creating and starting its own cluster on 5432; ours are private and short-lived.
if have apt-get && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  rooted mkdir -p /etc/postgresql-common
  printf 'create_main_cluster = false\n' | rooted tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
apt_install postgresql
