// Package all is the one list of source kinds: a connector is one folder under sources plus one line here.
package all
