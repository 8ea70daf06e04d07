FROM node:24-slim AS keybrake
WORKDIR /keybrake
RUN npm pack keybrake-gcp@0.1.0 && tar -xzf keybrake-gcp-*.tgz

FROM python:3.14-slim
WORKDIR /agent
COPY --from=keybrake /keybrake/package/dist/keybrake_exec.py /usr/local/bin/
COPY agent.py .
ENTRYPOINT ["python3", "/usr/local/bin/keybrake_exec.py", "--"]
CMD ["python3", "agent.py"]
