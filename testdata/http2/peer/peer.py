"""Both sides of what is recorded here of the C core of gRPC."""
import concurrent.futures
import sys
import time

import grpc

same = lambda m: m


def serve(addr):
    class Handler(grpc.GenericRpcHandler):
        def service(self, call):
            if call.method == "/shop.Cart/Add":
                return grpc.unary_unary_rpc_method_handler(self.add)
            if call.method == "/shop.Cart/Talk":
                return grpc.stream_stream_rpc_method_handler(lambda it, ctx: it)
            return None

        def add(self, m, ctx):
            if m[:1] == b"\x05":
                ctx.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
            if m[:1] == b"\x0d":
                raise ValueError("broken")
            return m

    s = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[Handler()])
    s.add_insecure_port(addr)
    s.start()
    s.wait_for_termination()


def speak(addr):
    with grpc.insecure_channel(addr) as c:
        add = c.unary_unary("/shop.Cart/Add", same, same)
        talk = c.stream_stream("/shop.Cart/Talk", same, same)
        trace = (("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)
        for _ in range(3):
            add(b"\x00hello", metadata=trace)
        list(talk(iter([b"one", b"two", b"three"])))
        for call, m in ((add, b"\x05"), (add, b"\x0d"), (c.unary_unary("/shop.Cart/None", same, same), b"")):
            try:
                call(m)
            except grpc.RpcError:
                pass
        many = [add.future(b"\x00%d" % i) for i in range(6)]
        for f in many:
            f.result()


{"serve": serve, "speak": speak}[sys.argv[1]](sys.argv[2])
