package elt

import (
	"maps"
	"slices"
)

// Graph is all jobs, in an order in which every job comes after those that it reads.
type Graph struct {
	Jobs   []*Job
	byName map[string]*Job
	down   map[string][]string // job -> jobs that read it
}

// Job finds a job by its name; nil when there is none.
func (g *Graph) Job(name string) *Job { return g.byName[name] }

// Downstream lists the jobs that read a job's table, nearest first.
func (g *Graph) Downstream(name string) []string { return g.down[name] }

// newGraph orders the jobs. cycle names the jobs of a circle, in the order in which each reads the next; nil without one.
func newGraph(jobs map[string]*Job) (g *Graph, cycle []string) {
	g = &Graph{byName: jobs, down: map[string][]string{}}
	const doing, done = 1, 2
	mark := map[string]int{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		switch mark[name] {
		case done:
			return nil
		case doing:
			return slices.Clone(path[slices.Index(path, name):])
		}
		mark[name] = doing
		path = append(path, name)
		for _, n := range jobs[name].Inputs {
			if jobs[n.Job] == nil {
				continue
			}
			if c := visit(n.Job); c != nil {
				return c
			}
		}
		path = path[:len(path)-1]
		mark[name] = done
		g.Jobs = append(g.Jobs, jobs[name])
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(jobs)) {
		if c := visit(name); c != nil {
			return nil, c
		}
	}
	for _, j := range g.Jobs {
		for _, n := range j.Inputs {
			if n.Job != "" && !slices.Contains(g.down[n.Job], j.Name) {
				g.down[n.Job] = append(g.down[n.Job], j.Name)
			}
		}
	}
	return g, nil
}
