/* Plugin for qemu-user: counts the instructions that a program runs, and with SYMBOLS=1 in the environment those of each
 * function. Written for version 1 of the interface of QEMU 6 to 8; Debian has no header for it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t plugin_id;
int qemu_plugin_version = 1;
enum op { ADD_U64 };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum op, void *, uint64_t);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);
void qemu_plugin_outs(const char *);

static struct function { const char *name; uint64_t count; } functions[1 << 16];
static size_t known, by_function;

static void translate(plugin_id id, struct qemu_plugin_tb *tb)
{
    size_t at = 0;
    if (by_function) {
        const char *name = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(tb, 0));
        name = name ? name : "?";
        while (at < known && strcmp(functions[at].name, name)) at++;
        if (at == known && known < (1 << 16) - 1) functions[known++].name = strdup(name);
    }
    qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &functions[at].count, qemu_plugin_tb_n_insns(tb));
}

static void finish(plugin_id id, void *unused)
{
    uint64_t total = 0;
    char line[512];
    for (size_t at = 0; at < known; at++) {
        total += functions[at].count;
        if (by_function) {
            snprintf(line, sizeof line, "%llu %s\n", (unsigned long long)functions[at].count, functions[at].name);
            qemu_plugin_outs(line);
        }
    }
    snprintf(line, sizeof line, "total %llu\n", (unsigned long long)total);
    qemu_plugin_outs(line);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    const char *symbols = getenv("SYMBOLS");
    by_function = symbols && *symbols;
    known = !by_function;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, finish, NULL);
    return 0;
}
