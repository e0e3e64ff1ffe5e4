// A program in place of a service, for what no real version does on purpose: statically linked, it takes /app/SERVICE's place in
// an image. What it does is in its arguments, or else in the file /app/script, one word after another:
//
//   migrate  keeps /app/data/errors.db as errors.db.before-schema-99, as our services do, and puts /app/next.db in its place;
//            once, however often it is started
//   crash    ends with 1
//   silent   listens nowhere until it is stopped
//   speak    prints lines that are numbered, a hundred a second, on both streams in turn, until it is stopped
//   serve    answers everything with 200 until it is stopped
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stop(int signal) {
    (void)signal;
    _exit(0);
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static FILE *file(const char *name, const char *mode) {
    FILE *file = fopen(name, mode);
    if (!file) fail(name);
    return file;
}

static void copy(const char *from, const char *to) {
    FILE *in = file(from, "r"), *out = file(to, "w");
    for (int byte; (byte = getc(in)) != EOF;) putc(byte, out);
    if (fclose(out) != 0) fail(to);
    fclose(in);
}

static int are_equal(const char *one, const char *other) {
    FILE *in = file(one, "r"), *too = file(other, "r");
    int byte;
    do byte = getc(in);
    while (byte == getc(too) && byte != EOF);
    int equal = byte == EOF && feof(too);
    fclose(in);
    fclose(too);
    return equal;
}

static void serve(void) {
    const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{\"status\":\"ok\"}";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8000)};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0) fail("port 8000");
    for (;;) {
        char head[4096];
        int client = accept(listener, NULL, NULL);
        if (read(client, head, sizeof head) > 0 && write(client, answer, sizeof answer - 1) < 0) perror("a client");
        close(client);
    }
}

static void migrate(void) {
    if (are_equal("/app/data/errors.db", "/app/next.db")) return;
    copy("/app/data/errors.db", "/app/data/errors.db.before-schema-99");
    copy("/app/next.db", "/app/data/errors.db");
}

static void speak(void) {
    for (long line = 1;; line++) {
        FILE *stream = line % 2 ? stdout : stderr;
        fprintf(stream, "line %ld\n", line);
        fflush(stream);
        usleep(10000);
    }
}

static void act(const char *word) {
    if (!strcmp(word, "migrate")) {
        migrate();
    } else if (!strcmp(word, "crash")) {
        fprintf(stderr, "broken on purpose\n");
        exit(1);
    } else if (!strcmp(word, "silent")) {
        for (;;) pause();
    } else if (!strcmp(word, "speak")) {
        speak();
    } else if (!strcmp(word, "serve")) {
        serve();
    } else {
        fprintf(stderr, "unknown: %s\n", word);
        exit(1);
    }
}

int main(int count, char **words) {
    // The first process of a container has no actions of its own for signals.
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < count; i++) act(words[i]);
    if (count == 1) {
        FILE *script = file("/app/script", "r");
        for (char word[16]; fscanf(script, "%15s", word) == 1;) act(word);
    }
    fprintf(stderr, "nothing left to do\n");
    return 1;
}
