// Serves a WebSocket at /live, and elsewhere what is written and flushed; prints its port.
package main

import (
	"fmt"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

func main() {
	http.HandleFunc("/live", func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{}
		if connection, err := upgrader.Upgrade(w, r, nil); err == nil {
			connection.Close()
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.test")
		if r.URL.Path == "/named" {
			w.Header().Set("X-Request-Id", "1")
		}
		w.Write([]byte("one"))
		w.(http.Flusher).Flush()
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, nil))
}
