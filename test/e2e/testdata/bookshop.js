// A site of Node's http module: node bookshop.js <port>
const http = require('node:http')

http.createServer((req, res) => {
  req.resume().on('end', () => {
    const [, , status, body] = req.url.split('/')
    if (body === 'chunked') {
      res.writeHead(Number(status))
      for (let i = 0; i < 3; i++) res.write('a chunk\n')
      res.end()
      return
    }
    const n = Number(body)
    res.writeHead(Number(status), n > 0 ? { 'Content-Length': n } : {})
    res.end('x'.repeat(n))
  })
}).listen(Number(process.argv[2]), '127.0.0.1')
