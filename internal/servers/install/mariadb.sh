# The core packages hold the server without a service, and the tools its first start needs: nothing starts, nothing listens on 3306.
apt_install mariadb-server-core mariadb-client-core
system_user mysql
