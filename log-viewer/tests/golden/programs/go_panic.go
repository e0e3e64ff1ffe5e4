// Panics while another goroutine waits.
package main

import "fmt"

type shop struct{ articles map[string]int }

func (s *shop) sell(name string) { s.articles[name]++ }

func main() {
	println("starting")
	go func() { select {} }()
	defer func() {
		panic(fmt.Errorf("while recovering: %v", recover()))
	}()
	(&shop{}).sell("book")
}
