# The core package holds the server without a service: nothing starts, nothing listens on 3306.
apt_install mariadb-server-core
system_user mysql
