// Bench measures what tidemill promises to reach (DESIGN §11) and writes docs/bench.md:
//
//	go run ./bench                      every benchmark, printed
//	go run ./bench -only line -count 5  some of them, five runs each
//	go run ./bench -write docs/bench.md
//
// The benchmarks of one stage are Go benchmarks beside the stage's code; those of the whole line are in this folder: they
// run the daemon that users run, against real servers. This program runs them, keeps every run's figure, and prints the
// median, the range, and an A/A control: the same code against itself, odd runs against even ones. A difference between two
// versions that is not well above the control says nothing.
package main
