#pragma once

// libedit's variadic functions, one static inline for each use that is made of them.
#include <histedit.h>
#include <stddef.h>

// el_init on the standard streams, which C has as variables and Swift may therefore not name.
static inline EditLine *_Nullable cedit_open(const char *_Nonnull name) {
  return el_init(name, stdin, stdout, stderr);
}

static inline void cedit_set_prompt(EditLine *_Nonnull edit, char *_Nonnull (*_Nonnull prompt)(EditLine *_Nullable)) {
  el_set(edit, EL_PROMPT, prompt);
}

static inline void cedit_set_client(EditLine *_Nonnull edit, void *_Nullable data) {
  el_set(edit, EL_CLIENTDATA, data);
}

static inline void *_Nullable cedit_client(EditLine *_Nonnull edit) {
  void *data = NULL;
  el_get(edit, EL_CLIENTDATA, &data);
  return data;
}

static inline void cedit_set_history(EditLine *_Nonnull edit, History *_Nonnull past) {
  el_set(edit, EL_HIST, history, past);
}

static inline void cedit_use_emacs_keys(EditLine *_Nonnull edit) {
  el_set(edit, EL_EDITOR, "emacs");
  el_set(edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
}

static inline void cedit_bind_tab(
    EditLine *_Nonnull edit, unsigned char (*_Nonnull complete)(EditLine *_Nullable, int)) {
  el_set(edit, EL_ADDFN, "complete", "Complete the word before the cursor", complete);
  el_set(edit, EL_BIND, "\t", "complete", NULL);
}

// Ctrl-C is a key like others while a line is edited, and calls `interrupt`.
static inline void cedit_bind_interrupt(
    EditLine *_Nonnull edit, unsigned char (*_Nonnull interrupt)(EditLine *_Nullable, int)) {
  el_set(edit, EL_SETTY, "-d", "-isig", NULL);
  el_set(edit, EL_ADDFN, "interrupt", "Give the line up", interrupt);
  el_set(edit, EL_BIND, "^C", "interrupt", NULL);
}

// Makes every key count from now on. el_gets(3) does so only after it has shown the prompt: a Ctrl-D
// that comes between the two would be lost.
static inline void cedit_prepare(EditLine *_Nonnull edit) { el_set(edit, EL_PREP_TERM, 1); }

static inline int cedit_history_size(History *_Nonnull past, int count) {
  HistEvent event;
  history(past, &event, H_SETUNIQUE, 1);
  return history(past, &event, H_SETSIZE, count);
}

static inline int cedit_history_enter(History *_Nonnull past, const char *_Nonnull line) {
  HistEvent event;
  return history(past, &event, H_ENTER, line);
}

static inline int cedit_history_load(History *_Nonnull past, const char *_Nonnull path) {
  HistEvent event;
  return history(past, &event, H_LOAD, path);
}

static inline int cedit_history_save(History *_Nonnull past, const char *_Nonnull path) {
  HistEvent event;
  return history(past, &event, H_SAVE, path);
}
