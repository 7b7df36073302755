/* Several Luas in one process: several.exe LIBRARY SCRIPT LIBRARY SCRIPT ... runs each script in
 * a new state of that library, which is host.c with a Lua inside. */
#include <stdio.h>
#include <windows.h>

int main(int argc, char **argv)
{
    for (int index = 1; index + 1 < argc; index += 2) {
        HMODULE library = LoadLibraryA(argv[index]);
        void *address = library ? (void *)GetProcAddress(library, "run") : NULL;
        int (*run)(char **) = (int (*)(char **))address;
        if (!run) {
            fprintf(stderr, "cannot load %s\n", argv[index]);
            return 2;
        }
        char *arguments[] = { argv[index], argv[index + 1], NULL };
        if (run(arguments) != 0)
            return 1;
    }
    return 0;
}
