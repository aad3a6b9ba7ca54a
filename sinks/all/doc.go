// Package all is the one list of stores and warehouses.
package all
