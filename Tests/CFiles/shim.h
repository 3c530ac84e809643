#pragma once

// System calls on files that Swift's Glibc module leaves out: glibc declares them to those who ask
// for all of GNU only, which a module cannot, or in headers that the module does not have.
#include <sys/fsuid.h>
#include <sys/types.h>
#include <sys/xattr.h>

extern int renameat2(int from, const char *old, int to, const char *new_, unsigned int flags);
extern int fallocate(int descriptor, int mode, off_t offset, off_t length);
