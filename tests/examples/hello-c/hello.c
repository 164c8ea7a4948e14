/*
 * A C library to be packed, static and shared. From this folder:
 *
 *   mkdir -p out/include out/lib && cp include/hello.h out/include/
 *   cc -c -fPIC hello.c -o hello.o && cc -c -fPIC base.c -o base.o
 *   ar rcs out/lib/libhello.a hello.o && ar rcs out/lib/libhello_base.a base.o
 *   cc -c -fPIC -DHELLO_SHARED hello.c -o shared.o
 *   cc -shared base.o -lm -o out/lib/libhello_base.so
 *   cc -shared shared.o -Lout/lib -lhello_base '-Wl,-rpath,$ORIGIN' -o out/lib/libhello.so
 *   ocipkg-async pack out --platform linux/amd64 -o ghcr.io/example/hello:1.2.0-amd64
 *
 * ocipkg.toml says how it is linked. Packages for several platforms are joined with:
 *
 *   ocipkg-async index ghcr.io/example/hello:1.2.0-amd64 ghcr.io/example/hello:1.2.0-arm64 \
 *     -o ghcr.io/example/hello:1.2.0
 */
double hello_base_root(double number);

#ifdef HELLO_SHARED
const char *hello_kind(void) { return "dynamic"; }
#else
const char *hello_kind(void) { return "static"; }
#endif

double hello_root(double number) { return hello_base_root(number); }
