"""A client of the tests, by PyMySQL: visits on standard input, and on standard output what it was told."""
import json
import struct
import sys
import time

import pymysql
from pymysql.constants import CLIENT, COMMAND


def told(what, code=0, rows=-1, affected=0):
    return {"What": what, "Code": code, "Rows": rows, "Affected": affected}


def query(c, s, sql):
    k = c.cursor()
    rows, affected = -1, 0
    k.execute(sql)
    while True:
        if k.description:
            rows = max(rows, 0) + len(k.fetchall())
        else:
            affected += k.rowcount
        if not k.nextset():
            break
    return [told("QUERY", rows=rows, affected=0 if rows >= 0 else affected)]


def command(what, number, argument=lambda s: b"", answer=lambda c: c._read_packet()):
    """A command that PyMySQL itself has no use for."""

    def send(c, s):
        c._execute_command(number, argument(s))
        answer(c)
        return [told(what)]

    return what, send


def fields(c):
    while not c._read_packet().is_eof_packet():
        pass


ways = {
    "query": ("QUERY", lambda c, s: query(c, s, s["SQL"])),
    "bytes": ("QUERY", lambda c, s: query(c, s, s["SQL"].encode("latin1"))),
    "use": command("INIT_DB", COMMAND.COM_INIT_DB, lambda s: s["SQL"].encode()),
    "ping": command("PING", COMMAND.COM_PING),
    "statistics": command("STATISTICS", COMMAND.COM_STATISTICS),
    "option": command("SET_OPTION", COMMAND.COM_SET_OPTION, lambda s: struct.pack("<H", 0)),
    "reset": command("RESET_CONNECTION", 0x1F),
    "fields": command("FIELD_LIST", COMMAND.COM_FIELD_LIST, lambda s: s["SQL"].encode() + b"\0%", fields),
}


def take(c, s):
    what, way = ways[s["Do"]]
    try:
        return way(c, s)
    except pymysql.MySQLError as e:
        return [told(what, code=e.args[0])]


connections = []
for line in sys.stdin:
    visit = json.loads(line)
    heard = []
    for i, steps in enumerate(visit["Chats"]):
        if i == len(connections):
            connections.append(pymysql.connect(
                host="127.0.0.1", port=visit["Port"], user="shop", password=visit["Password"], database="shop",
                autocommit=True, client_flag=CLIENT.MULTI_STATEMENTS))
        answers = []
        for s in steps:
            time.sleep(visit["Pause"] / 1000)
            answers.append(take(connections[i], s))
        heard.append(answers)
    print(json.dumps(heard), flush=True)
for c in connections:
    c.close()
