package session

// maxLabel is the most bytes of a label: call path, round and vector name.
const maxLabel = 1024
