"""Small real models on this machine's CPU: text by llama.cpp's server beside this process, embeddings inside it."""
