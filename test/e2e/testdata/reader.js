// A client of the tests, by mysql2: visits on standard input, and on standard output what it was told.
'use strict';
const {Readable} = require('stream');
const mysql = require('mysql2/promise');

const open = (visit) => mysql.createConnection({
  host: '127.0.0.1', port: visit.Port, user: 'shop', password: visit.Password, database: 'shop', multipleStatements: true,
});

// told sums up all results of a command.
function told(what, result, fields) {
  const several = Array.isArray(fields) && fields.some((f) => !f || Array.isArray(f));
  const reply = {What: what, Code: 0, Rows: -1, Affected: 0};
  for (const r of several ? result : [result]) {
    if (Array.isArray(r)) reply.Rows = Math.max(reply.Rows, 0) + r.length;
    else reply.Affected += r.affectedRows;
  }
  return reply;
}

const done = (what) => [{What: what, Code: 0, Rows: -1, Affected: 0}];

const ways = {
  query: async (c, s) => [told('QUERY', ...await c.query(s.SQL))],
  prepared: async (c, s) => [told('EXECUTE', ...await c.execute(s.SQL, s.Args))],
  file: async (c, s) => [told('QUERY', ...await c.query({sql: s.SQL, infileStreamFactory: () => Readable.from([Buffer.from('7\n8\n9\n')])}))],
  ping: async (c) => { await c.ping(); return done('PING'); },
  user: async (c, s) => { await c.changeUser({user: 'shop', password: s.Args[0], database: s.SQL}); return done('CHANGE_USER'); },
};

async function chat(c, steps, pause) {
  const heard = [];
  for (const s of steps) {
    await new Promise((r) => setTimeout(r, pause));
    const prepared = s.Do === 'prepared', began = Date.now() / 1000;
    try {
      heard.push(await ways[s.Do](c, s));
    } catch (e) {
      if (!e.errno) throw e;
      // What is wrong with a statement shows when it is prepared, but for its values.
      const what = prepared ? (e.errno === 1062 ? 'EXECUTE' : 'PREPARE') : s.Do === 'user' ? 'CHANGE_USER' : 'QUERY';
      heard.push([{What: what, Code: e.errno, Rows: -1, Affected: 0}]);
    }
    heard.at(-1)[0].Began = began;
  }
  return heard;
}

(async () => {
  const connections = [];
  for await (const line of require('readline').createInterface({input: process.stdin})) {
    const visit = JSON.parse(line);
    while (connections.length < visit.Chats.length) {
      const c = await open(visit);
      c.on('error', () => {});
      connections.push(c);
    }
    const heard = await Promise.all(visit.Chats.map((steps, i) => chat(connections[i], steps, visit.Pause)));
    console.log(JSON.stringify(heard));
  }
  for (const c of connections) await c.end();
})().catch((e) => { console.error(e); process.exit(1); });
