// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What an event says of the process that runs.
#pragma once

static __always_inline u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

static __always_inline struct task_struct *current_task(void)
{
	return typed ? bpf_get_current_task_btf() : (struct task_struct *)bpf_get_current_task();
}

static __always_inline void fill_comm(struct event *e, struct task_struct *leader)
{
	if (!typed) {
		bpf_probe_read_kernel(&e->comm, sizeof(e->comm), &leader->comm);
		return;
	}
	const u64 *from = (const u64 *)leader->comm;
	u64 *to = (u64 *)e->comm;
	to[0] = from[0];
	to[1] = from[1];
}

// Fills in the process that task is of, and reports whether it is new here.
static __always_inline bool fill_process(struct event *e, struct task_struct *task)
{
	struct task_struct *leader = READ(task, group_leader);
	e->tgid = READ(task, tgid);
	e->start_ns = READ(leader, start_boottime);
	fill_comm(e, leader);
	e->execs = READ(leader, self_exec_id);

	u32 slot = e->tgid & (PROCESSES - 1);
	u64 word = e->start_ns ^ e->tgid ^ (u64)e->execs << 32;
	u64 *last = bpf_map_lookup_elem(&processes, &slot);
	if (!last || *last == word)
		return false;
	*last = word;
	return true;
}
