/* A library with one small function. */
long answer(long question) { return question + 42; }
