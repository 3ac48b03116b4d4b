"""A site of Python's http.server: python3 library.py <port>"""

import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, _, status, body, *_ = self.path.split("/")
        empty = self.command == "HEAD" or status in ("204", "304")
        self.send_response(int(status))
        if body == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if not empty:
                for _ in range(3):
                    self.wfile.write(b"8\r\na chunk\n\r\n")
                self.wfile.write(b"0\r\n\r\n")
            return
        if status not in ("204", "304"):
            self.send_header("Content-Length", body)
        self.end_headers()
        if not empty:
            self.wfile.write(b"x" * int(body))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
