<?php
// A client of the tests, by mysqli: visits on standard input, and on standard output what it was told.
mysqli_report(MYSQLI_REPORT_OFF);

function open(array $visit): mysqli {
	$m = mysqli_init();
	$m->options(MYSQLI_OPT_LOCAL_INFILE, 1);
	if (!$m->real_connect('127.0.0.1', 'shop', $visit['Password'], 'shop', $visit['Port'])) {
		throw new Exception($m->connect_error);
	}
	return $m;
}

function told(string $what, int $code, int $rows = -1, int $affected = 0): array {
	return ['What' => $what, 'Code' => $code, 'Rows' => $code ? -1 : $rows, 'Affected' => $code || $rows >= 0 ? 0 : $affected];
}

// query sums up all results of a statement.
function query(mysqli $m, string $sql): array {
	[$rows, $affected] = [-1, 0];
	$ok = $m->multi_query($sql);
	while ($ok) {
		if ($r = $m->store_result()) {
			$rows = max($rows, 0) + $r->num_rows;
			$r->free();
		} elseif (!$m->errno) {
			$affected += $m->affected_rows;
		}
		$ok = $m->more_results() && $m->next_result();
	}
	return [told('QUERY', $m->errno, $rows, $affected)];
}

function prepared(mysqli $m, string $sql, array $args): array {
	$s = $m->prepare($sql);
	if (!$s) {
		return [told('PREPARE', $m->errno)];
	}
	$ok = $s->execute($args);
	$r = $ok ? $s->get_result() : false;
	$heard = [told('EXECUTE', $s->errno, $r ? $r->num_rows : -1, $ok ? $s->affected_rows : 0)];
	while ($m->more_results() && $m->next_result()) {
		if ($more = $m->store_result()) {
			$heard[0]['Rows'] += $more->num_rows;
		}
	}
	$s->close();
	return $heard;
}

// cursor has its rows fetched one by one, whatever it is told.
function cursor(mysqli $m, string $sql, array $args): array {
	$s = $m->stmt_init();
	$s->prepare($sql);
	$s->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
	$s->execute($args);
	$s->bind_result($x);
	$heard = [told('EXECUTE', $s->errno, 0)];
	do {
		$more = $s->fetch();
		$heard[] = told('FETCH', $s->errno, $more ? 1 : 0);
	} while ($more);
	$s->reset();
	$heard[] = told('STMT_RESET', $s->errno);
	$s->close();
	return $heard;
}

// long sends a parameter in pieces.
function long(mysqli $m, string $sql): array {
	$s = $m->prepare($sql);
	[$title, $notes] = ['Clarissa', null];
	$s->bind_param('sb', $title, $notes);
	foreach (range(1, 3) as $i) {
		$s->send_long_data(1, str_repeat('hidden ', 3000));
	}
	$s->execute();
	$heard = [told('EXECUTE', $s->errno, -1, $s->affected_rows)];
	$s->close();
	return $heard;
}

function take(mysqli $m, array $s): array {
	switch ($s['Do']) {
	case 'query':
		return query($m, $s['SQL']);
	case 'prepared':
		return prepared($m, $s['SQL'], $s['Args']);
	case 'cursor':
		return cursor($m, $s['SQL'], $s['Args']);
	case 'long':
		return long($m, $s['SQL']);
	case 'use':
		$m->select_db($s['SQL']);
		return [told('INIT_DB', $m->errno)];
	case 'user':
		$m->change_user('shop', $s['Args'][0], $s['SQL']);
		return [told('CHANGE_USER', $m->errno)];
	case 'statistics':
		$m->stat();
		return [told('STATISTICS', $m->errno)];
	case 'debug':
		$m->dump_debug_info();
		return [told('DEBUG', $m->errno)];
	case 'ping':
		$m->ping();
		return [told('PING', $m->errno)];
	}
	throw new Exception("there is no {$s['Do']}");
}

$connections = [];
while (($line = fgets(STDIN)) !== false) {
	$visit = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
	$heard = [];
	foreach ($visit['Chats'] as $i => $steps) {
		$connections[$i] ??= open($visit);
		$heard[$i] = [];
		foreach ($steps as $s) {
			usleep($visit['Pause'] * 1000);
			$heard[$i][] = take($connections[$i], $s);
		}
	}
	echo json_encode($heard), "\n";
}
foreach ($connections as $m) {
	$m->close();
}
