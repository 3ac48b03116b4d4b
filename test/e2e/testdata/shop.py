"""The shop and the shopper of the tests, by the C core of gRPC: shop.py serve <address>, shop.py go."""
import concurrent.futures
import json
import sys
import threading
import time

import grpc

same = lambda m: m


def order(message):
    code, messages, wait = message.split()[:3]
    return int(code), int(messages), int(wait) / 1000


codes = {c.value[0]: c for c in grpc.StatusCode}


def end(ctx, code):
    if code:
        ctx.abort(codes[code], "as ordered: not OK")


def add(m, ctx):
    code, _, wait = order(m)
    time.sleep(wait)
    end(ctx, code)
    return m


def watch(m, ctx):
    code, messages, wait = order(m)
    for _ in range(messages):
        yield m
        time.sleep(wait)
    end(ctx, code)


def upload(messages, ctx):
    all = list(messages)
    end(ctx, order(all[0])[0])
    return b"%d" % sum(map(len, all))


def talk(messages, ctx):
    code = None
    for m in messages:
        if code is None:
            code = order(m)[0]
        yield m
    end(ctx, code)


methods = {
    "/shop.Till/Add": grpc.unary_unary_rpc_method_handler(add),
    "/shop.Cart/Add": grpc.unary_unary_rpc_method_handler(add),
    "/shop.Cart/Watch": grpc.unary_stream_rpc_method_handler(watch),
    "/shop.Cart/Upload": grpc.stream_unary_rpc_method_handler(upload),
    "/shop.Cart/Talk": grpc.stream_stream_rpc_method_handler(talk),
}


def serve(address):
    class Handler(grpc.GenericRpcHandler):
        def service(self, call):
            return methods.get(call.method)

    s = grpc.server(concurrent.futures.ThreadPoolExecutor(16), handlers=[Handler()])
    s.add_insecure_port(address)
    s.start()
    s.wait_for_termination()


def run(channel, e):
    message = b"%d %d %d " % (e["Code"], e["Messages"], e["Wait"])
    message = message.ljust(e["Size"], b"x")
    how = {
        "metadata": tuple((e["Metadata"] or {}).items()),
        "timeout": e["Deadline"] / 1000 if e["Deadline"] else None,
    }
    method = "/" + e["Method"]

    def many():
        for _ in range(e["Messages"]):
            yield message
            time.sleep(e["Wait"] / 1000)

    try:
        match e["Method"].split("/")[1]:
            case "Watch":
                list(channel.unary_stream(method, same, same)(message, **how))
            case "Upload":
                channel.stream_unary(method, same, same)(many(), **how)
            case "Talk":
                list(channel.stream_stream(method, same, same)(many(), **how))
            case _:
                channel.unary_unary(method, same, same)(message, **how)
    except grpc.RpcError as err:
        return err.code().value[0]
    return 0


def go():
    channel = None
    for line in sys.stdin:
        l = json.loads(line)
        channel = channel or grpc.insecure_channel(l["Address"])
        receipts = [None] * len(l["Errands"])

        def hand(first):
            for i in range(first, len(receipts), l["Hands"]):
                time.sleep(l["Pause"])
                began = time.time()
                code = run(channel, l["Errands"][i])
                receipts[i] = {"Code": code, "Began": began, "Ended": time.time()}

        hands = [threading.Thread(target=hand, args=(i,)) for i in range(l["Hands"])]
        for h in hands:
            h.start()
        for h in hands:
            h.join()
        print(json.dumps(receipts), flush=True)


{"serve": serve, "go": go}[sys.argv[1]](*sys.argv[2:])
