// Command clinic is the demo behind `make run`, and brings the servers that the demo and the tests use.
//
//	clinic [flags]             two private MariaDB servers, a busy clinic, and tidemill over both, until Ctrl-C
//	clinic install [NAME...]   bring what is missing of MariaDB, PostgreSQL, MySQL, Kafka, versitygw and moto
//	clinic check               say what is there
package main
