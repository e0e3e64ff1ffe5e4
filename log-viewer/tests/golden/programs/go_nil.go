// Reads through a nil pointer.
package main

type node struct{ next *node }

func main() {
	println("starting")
	var list *node
	println(list.next)
}
