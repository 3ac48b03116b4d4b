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

// Fills in the process, and reports whether it is new here.
static __always_inline bool fill_process(struct event *e)
{
	struct task_struct *task = current_task(), *leader = READ(task, group_leader);
	e->tgid = typed ? task->tgid : current_tgid(); // a load costs less than a call
	e->start_ns = READ(leader, start_boottime);
	bpf_probe_read_kernel(&e->comm, sizeof(e->comm), &leader->comm);
	e->execs = READ(leader, self_exec_id);

	u32 slot = e->tgid & (PROCESSES - 1);
	u64 word = e->start_ns ^ e->tgid ^ (u64)e->execs << 32;
	u64 *last = bpf_map_lookup_elem(&processes, &slot);
	if (!last || *last == word)
		return false;
	*last = word;
	return true;
}
