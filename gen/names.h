/* How names of a .proto become names of C: exactly as protoc-gen-c spells
 * messages, and with single underscores for what this generator adds. */

#ifndef GEN_NAMES_H
#define GEN_NAMES_H

#include "arena.h"

#include <stdbool.h>
#include <stdint.h>

/** "HTTPServer2Go" -> "httpserver2_go", "Foo_Bar" -> "foo__bar". */
char *name_lower(struct arena *arena, const char *name);

/** Every letter a capital and nothing else: "hello_world" -> "HELLO_WORLD". */
char *name_capitals(struct arena *arena, const char *name);

/** Every letter small and nothing else: "HelloWorld" -> "helloworld". */
char *name_small(struct arena *arena, const char *name);

/** The type of a message: "demo.hello_world.Inner" -> "Demo__HelloWorld__Inner". */
char *name_type(struct arena *arena, const char *full_name);

/** Its functions: "demo.HelloWorld.Inner" -> "demo__hello_world__inner". */
char *name_functions(struct arena *arena, const char *full_name);

/** The same with single underscores, for a service: "demo.Greeter" -> "demo_greeter". */
char *name_service(struct arena *arena, const char *full_name);

/** Puts `c_package` (NULL: nothing to do) in place of the package. */
const char *name_override(struct arena *arena, const char *full_name, const char *package,
			  const char *c_package);

/** Whether C, C++ or a common header gives the word a meaning of its own. */
bool name_is_reserved(const char *name);

/** Whether it has the form of an identifier of a .proto; with `dots`, a dotted one. */
bool name_is_valid(const char *name, bool dots);

/** "a/b.proto" -> "a/b", also ".protodevel". */
char *name_stem(struct arena *arena, const char *file);

/** The include guard of a generated header, different for every file: "A_B_HAWSER_H". */
char *name_guard(struct arena *arena, const char *stem);

/** The 32-bit FNV-1a hash: the id of a method, by hawser/service.h, except 0. */
uint32_t name_hash(const char *name);

#endif
