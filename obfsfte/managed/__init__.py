"""Tor's managed proxy: pt-spec's handshake around the same services as everywhere.

```
 tor --- environment, stdin ---> obfsfte pt --- VERSION, CMETHOD/SMETHOD, LOG ---> tor
```
`proxy` is what both sides have in common, `client` and `server` are the sides, of which a
process is one, and `life` is how long tor wants it.
"""
