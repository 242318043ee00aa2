// Sends one request, or opens a WebSocket: ask URL METHOD NAME=VALUE...
package main

import (
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/gorilla/websocket"
)

func main() {
	url, method, headers := os.Args[1], os.Args[2], http.Header{}
	for _, each := range os.Args[3:] {
		name, value, _ := strings.Cut(each, "=")
		headers.Set(name, value)
	}
	if strings.HasPrefix(url, "ws") {
		connection, _, err := websocket.DefaultDialer.Dial(url, headers)
		if err != nil {
			panic(err)
		}
		connection.Close()
		return
	}
	var body io.Reader
	if method == "POST" {
		body = io.LimitReader(strings.NewReader("one two three"), 5) // of a length not known before
	}
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		panic(err)
	}
	request.Header = headers
	if _, err := http.DefaultClient.Do(request); err != nil {
		panic(err)
	}
}
