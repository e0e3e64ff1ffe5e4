// Waits for itself.
package main

func main() {
	println("starting")
	<-make(chan int)
}
